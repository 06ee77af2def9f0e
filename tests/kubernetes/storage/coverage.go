package storage

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// runFunctions lists the exported Run* functions of k8s.io/apiserver/pkg/storage/testing
// that take a store: those with a parameter of a type named Interface or InterfaceWith….
func runFunctions(directory string) ([]string, error) {
	var names []string
	err := eachFunction(directory, func(_ string, function *ast.FuncDecl) {
		if strings.HasPrefix(function.Name.Name, "Run") && takesStore(function) {
			names = append(names, function.Name.Name)
		}
	})
	return names, err
}

func takesStore(function *ast.FuncDecl) bool {
	for _, parameter := range function.Type.Params.List {
		if strings.HasPrefix(typeName(parameter.Type), "Interface") {
			return true
		}
	}
	return false
}

func typeName(expression ast.Expr) string {
	switch typed := expression.(type) {
	case *ast.Ident:
		return typed.Name
	case *ast.SelectorExpr:
		return typed.Sel.Name
	default:
		return ""
	}
}

// callers maps each Run* function to the top-level tests of a package's directory
// whose bodies call it.
func callers(directory string) (map[string][]string, error) {
	found := map[string][]string{}
	err := eachFunction(directory, func(file string, function *ast.FuncDecl) {
		if !strings.HasSuffix(file, "_test.go") || !strings.HasPrefix(function.Name.Name, "Test") {
			return
		}
		ast.Inspect(function, func(node ast.Node) bool {
			if called := storageTestingCall(node); called != "" {
				found[called] = append(found[called], function.Name.Name)
			}
			return true
		})
	})
	return found, err
}

func storageTestingCall(node ast.Node) string {
	call, ok := node.(*ast.CallExpr)
	if !ok {
		return ""
	}
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := selector.X.(*ast.Ident); !ok || pkg.Name != "storagetesting" {
		return ""
	}
	return selector.Sel.Name
}

func eachFunction(directory string, visit func(file string, function *ast.FuncDecl)) error {
	files, err := fs.Glob(os.DirFS(directory), "*.go")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no Go files in %s", directory)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(directory, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				visit(file, function)
			}
		}
	}
	return nil
}
